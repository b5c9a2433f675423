# SPDX-License-Identifier: Apache-2.0
"""tools/test counts what a runner says, and a crash, a hang or silence is a failure."""
import importlib.machinery
import importlib.util
import os
import sys
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def load():
    loader = importlib.machinery.SourceFileLoader("runner", os.path.join(TOP, "tools/test"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("runner", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


RUNNER = load()


def run(script, limit=60):
    job = RUNNER.Job("job", ["sh", "-c", script], limit)
    job.run()
    return job.passed, job.failed, job.why


class Runner(unittest.TestCase):
    def test_closing_lines_are_summed(self):
        self.assertEqual(run("echo a_test: 3 passed, 0 failed; echo b_test: 4 passed, 0 failed"),
                         (7, 0, None))
        self.assertEqual(run("echo a_test: 3 passed, 2 failed; exit 1"), (3, 2, None))
        self.assertEqual(run("echo '# pass 5'; echo '# fail 1'; echo '# cancelled 1'; exit 1"),
                         (5, 2, None))
        said = "echo Ran 4 tests in 1s; echo 'FAILED (failures=1, errors=2)'; exit 1"
        self.assertEqual(run(said), (1, 3, None))

    def test_a_program_without_a_count_is_one_test(self):
        self.assertEqual(run("exit 0"), (1, 0, None))
        self.assertEqual(run("exit 3"), (0, 1, "exit 3"))

    def test_a_crash_after_good_lines_is_a_failure(self):
        self.assertEqual(run("echo a: 3 passed, 0 failed; kill -SEGV $$"),
                         (3, 1, "ended by signal 11"))

    def test_a_hang_is_ended_with_all_it_started(self):
        passed, failed, why = run("echo a: 1 passed, 0 failed; sleep 1000 & wait", limit=1)
        self.assertEqual((failed, why), (1, "ran longer than 1 s"))

    def test_a_runner_that_ran_nothing_is_a_failure(self):
        self.assertEqual(run("echo '# pass 0'; echo '# fail 0'"), (0, 1, "has no test in it"))

    def test_what_is_not_there_is_a_failure(self):
        job = RUNNER.Job("job", ["/nowhere/program"])
        job.run()
        self.assertEqual(job.failed, 1)

    def test_every_part_of_the_makefile_is_a_stage(self):
        with open(os.path.join(TOP, "Makefile")) as f:
            makefile = f.read()
        line = next(x for x in makefile.splitlines() if x.startswith("unit asan tsan"))
        for part in line.rstrip(":").split():
            self.assertIn(part, RUNNER.PARTS)


if __name__ == "__main__":
    unittest.main()
