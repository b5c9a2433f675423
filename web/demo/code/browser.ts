// SPDX-License-Identifier: Apache-2.0
// fetch and EventSource as the browser has them, but behind this page's switch: "Cut the network"
// cuts them too. In your own code leave the import out.
import { me } from '../people.js';

export const fetch = me.network.fetch;
export const EventSource = me.network.EventSource;
