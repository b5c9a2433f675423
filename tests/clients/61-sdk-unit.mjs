// SPDX-License-Identifier: Apache-2.0
// The packages' own tests, run with the others.
import '../../clients/js/test/pure.test.mjs';
import '../../clients/js/test/client.test.mjs';
import '../../clients/js/test/docs.test.mjs';
