/* SPDX-License-Identifier: Apache-2.0 */
/* Our own tables in the database file. Names begin with tw_ and are hidden from the data API;
 * realtime_messages is where policies of private channels stand and stored broadcasts go.
 * Statements are idempotent: they run at every start. To change a table: a new statement here
 * that also works on a file that already has it. */
#ifndef DB_BASE_SQL_H
#define DB_BASE_SQL_H

static const char base_sql[] =
    "CREATE TABLE IF NOT EXISTS tw_meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "INSERT OR IGNORE INTO tw_meta VALUES ('generation', 1), ('format', 1),"
    " ('epoch', lower(hex(randomblob(8))));"
    "CREATE TABLE IF NOT EXISTS tw_migrations(name TEXT PRIMARY KEY, digest TEXT NOT NULL,"
    " applied TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS tw_tables(name TEXT PRIMARY KEY, rls INTEGER NOT NULL DEFAULT 0,"
    " published INTEGER NOT NULL DEFAULT 0, full_identity INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE IF NOT EXISTS tw_policies(\"table\" TEXT NOT NULL, name TEXT NOT NULL,"
    " command TEXT NOT NULL CHECK (command IN ('all', 'select', 'insert', 'update', 'delete')),"
    " restrictive INTEGER NOT NULL, roles TEXT NOT NULL, using_expr TEXT NOT NULL,"
    " check_expr TEXT NOT NULL, PRIMARY KEY (\"table\", name));"
    "CREATE TABLE IF NOT EXISTS tw_functions(name TEXT PRIMARY KEY, args TEXT NOT NULL,"
    " returns TEXT NOT NULL, body TEXT NOT NULL, writes INTEGER NOT NULL,"
    " definer INTEGER NOT NULL);"
    /* The change log: one row per changed row of a published table, in commit order. */
    "CREATE TABLE IF NOT EXISTS tw_changes(seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " at TEXT NOT NULL, \"table\" TEXT NOT NULL, op TEXT NOT NULL, old TEXT, new TEXT, key TEXT);"
    /* Answers to inserts with an idempotency key. */
    "CREATE TABLE IF NOT EXISTS tw_keys(owner TEXT NOT NULL, key TEXT NOT NULL,"
    " request TEXT NOT NULL, at TEXT NOT NULL, status INTEGER NOT NULL, body BLOB,"
    " type TEXT, range TEXT, location TEXT,"
    " PRIMARY KEY (owner, key)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS tw_keys_at ON tw_keys(at);"
    /* Durable channels. */
    "CREATE TABLE IF NOT EXISTS tw_channels(name TEXT PRIMARY KEY, epoch TEXT NOT NULL,"
    " \"offset\" INTEGER NOT NULL, evicted INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS tw_history(channel TEXT NOT NULL, \"offset\" INTEGER NOT NULL,"
    " time INTEGER NOT NULL, head TEXT NOT NULL, content BLOB NOT NULL, attachments BLOB NOT NULL,"
    " PRIMARY KEY (channel, \"offset\")) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS realtime_messages(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " topic TEXT NOT NULL, extension TEXT NOT NULL, event TEXT, payload jsonb,"
    " private boolean NOT NULL DEFAULT 1, inserted_at timestamptz NOT NULL"
    " DEFAULT (rtrim(rtrim(strftime('%Y-%m-%dT%H:%M:%f','now'),'0'),'.')||'+00:00'));"
    "CREATE INDEX IF NOT EXISTS realtime_messages_topic ON realtime_messages(topic, id);"
    "INSERT OR IGNORE INTO tw_tables(name, rls, published) VALUES ('realtime_messages', 1, 1);"
    "UPDATE tw_tables SET published = 1 WHERE name = 'realtime_messages' AND published = 0;"
    /* Who keeps a schema in memory sees by `generation` that it must read again. */
    "CREATE TRIGGER IF NOT EXISTS tw_tables_i AFTER INSERT ON tw_tables BEGIN UPDATE tw_meta SET"
    " value = value + 1 WHERE name = 'generation'; END;"
    "CREATE TRIGGER IF NOT EXISTS tw_tables_u AFTER UPDATE ON tw_tables BEGIN UPDATE tw_meta SET"
    " value = value + 1 WHERE name = 'generation'; END;"
    "CREATE TRIGGER IF NOT EXISTS tw_tables_d AFTER DELETE ON tw_tables BEGIN UPDATE tw_meta SET"
    " value = value + 1 WHERE name = 'generation'; END;"
    "CREATE TRIGGER IF NOT EXISTS tw_policies_i AFTER INSERT ON tw_policies BEGIN UPDATE tw_meta"
    " SET value = value + 1 WHERE name = 'generation'; END;"
    "CREATE TRIGGER IF NOT EXISTS tw_policies_u AFTER UPDATE ON tw_policies BEGIN UPDATE tw_meta"
    " SET value = value + 1 WHERE name = 'generation'; END;"
    "CREATE TRIGGER IF NOT EXISTS tw_policies_d AFTER DELETE ON tw_policies BEGIN UPDATE tw_meta"
    " SET value = value + 1 WHERE name = 'generation'; END;"
    "CREATE TRIGGER IF NOT EXISTS tw_functions_i AFTER INSERT ON tw_functions BEGIN UPDATE tw_meta"
    " SET value = value + 1 WHERE name = 'generation'; END;"
    "CREATE TRIGGER IF NOT EXISTS tw_functions_u AFTER UPDATE ON tw_functions BEGIN UPDATE tw_meta"
    " SET value = value + 1 WHERE name = 'generation'; END;"
    "CREATE TRIGGER IF NOT EXISTS tw_functions_d AFTER DELETE ON tw_functions BEGIN UPDATE tw_meta"
    " SET value = value + 1 WHERE name = 'generation'; END;";

#endif
