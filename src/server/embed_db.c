/* SPDX-License-Identifier: Apache-2.0 */
/* The database file from the command line: see tw_db in include/tidewire.h. */
#include "base/mem.h"
#include "db/db.h"
#include "server/assemble.h"
#include "server/embed_priv.h"
#include "tidewire.h"

static int run(const struct database_paths *paths, const char *verb, const char *arg,
               struct buf *out)
{
    const char *folder = arg ? arg : paths->migrations;
    if (strcmp(verb, "path") == 0) {
        buf_add_z(out, paths->file);
        return 0;
    }
    if (strcmp(verb, "policies") == 0)
        return db_tool_policies(paths->file, out);
    if (strcmp(verb, "backup") == 0 && arg)
        return db_tool_backup(paths->file, arg, out);
    if (strcmp(verb, "migrate") == 0 && folder)
        return db_tool_migrate(paths->file, folder, out);
    buf_add_z(out, strcmp(verb, "migrate") == 0
                       ? "name a folder, or set database.migrations\n"
                       : "migrate [FOLDER], backup FILE, policies or path\n");
    return E_BAD_REQUEST;
}

int tw_db(tw_config *c, const char *verb, const char *arg, char **report)
{
    struct config *config = NULL;
    struct database_paths paths;
    struct db_config ignored;
    struct buf out = {0};
    int err = embed_config_finish(c, &config, NULL, NULL);
    if (err) {
        buf_add_str(&out, config_draft_problems(c->draft));
        *report = embed_give(&out);
        return err;
    }
    assemble_database(config, &paths, &ignored);
    if (!config->database_file.n) { /* what `tidewire dev` made here */
        mem_free(paths.file);
        paths.file = str_dup(STR("./tidewire-data/tidewire.db"));
    }
    err = run(&paths, verb, arg, &out);
    database_paths_free(&paths);
    config_unref(&config);
    *report = embed_give(&out);
    return err;
}
