# SPDX-License-Identifier: Apache-2.0
"""The table of tools/embed compiles and holds the files as they are."""
import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILES = {
    "index.html": b"<!doctype html>" + b"<p>tide</p>" * 200,
    "deep/er/app.js": b"export const a = '\\\"';\n" * 50,
    "empty.txt": b"",
    "bytes.bin": bytes(range(256)),
    ".hidden": b"not for the world",
}
# Prints each row, then the bytes of each form in hex.
READER = """
#include "http/http.h"
#include <stdio.h>
extern const struct http_file embed_files[];
extern const size_t embed_files_count;
static void show(const uint8_t *p, size_t n)
{
    printf("|");
    for (size_t i = 0; p && i < n; i++)
        printf("%02x", p[i]);
}
int main(void)
{
    for (size_t i = 0; i < embed_files_count; i++) {
        const struct http_file *f = &embed_files[i];
        printf("%s|%s|%s", f->path, f->content_type, f->etag);
        show(f->bytes, f->n);
        show(f->gzip, f->gzip_n);
        show(f->brotli, f->brotli_n);
        printf("\\n");
    }
    return 0;
}
"""


class Embed(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.top)

    def table(self, folder):
        run = subprocess.run([os.path.join(TOP, "tools/embed"), folder], capture_output=True,
                             text=True, check=True)
        return run.stdout, run.stderr

    def rows(self, table):
        for name, text in (("pages.c", table), ("reader.c", READER)):
            with open(os.path.join(self.top, name), "w") as f:
                f.write(text)
        program = os.path.join(self.top, "reader")
        subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                        "-I", os.path.join(TOP, "src"), "-o", program,
                        os.path.join(self.top, "pages.c"), os.path.join(self.top, "reader.c")],
                       check=True)
        out = subprocess.run([program], capture_output=True, text=True, check=True).stdout
        return {line.split("|")[0]: line.split("|")[1:] for line in out.splitlines()}

    def test_every_file_is_there_with_its_forms(self):
        dist = os.path.join(self.top, "dist")
        for name, content in FILES.items():
            path = os.path.join(dist, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(content)
        table, _ = self.table(dist)
        self.assertEqual(table, self.table(dist)[0])  # the same files, the same table
        rows = self.rows(table)
        self.assertEqual(set(rows), {"/index.html", "/deep/er/app.js", "/empty.txt", "/bytes.bin"})
        for path, (kind, etag, plain, zipped, brotli) in rows.items():
            content = FILES[path[1:]]
            self.assertEqual(bytes.fromhex(plain), content)
            self.assertEqual(etag, '"' + hashlib.sha256(content).hexdigest()[:32] + '"')
            if zipped:
                self.assertLess(len(zipped), len(plain))
                self.assertEqual(gzip.decompress(bytes.fromhex(zipped)), content)
            if brotli:
                back = subprocess.run(["brotli", "-dc"], input=bytes.fromhex(brotli),
                                      capture_output=True, check=True).stdout
                self.assertEqual(back, content)
        self.assertEqual(rows["/index.html"][0], "text/html; charset=utf-8")
        self.assertEqual(rows["/deep/er/app.js"][0], "text/javascript; charset=utf-8")
        self.assertEqual(rows["/bytes.bin"][0], "application/octet-stream")
        self.assertTrue(rows["/index.html"][3])
        self.assertFalse(rows["/bytes.bin"][3])  # not smaller

    def test_without_pages_the_table_is_empty_and_it_is_said(self):
        table, said = self.table(os.path.join(self.top, "nothing"))
        self.assertIn("without pages", said)
        self.assertEqual(self.rows(table), {})


if __name__ == "__main__":
    unittest.main()
