"""Runs one command and prints what it cost as JSON: seconds by the clock, and seconds of CPU in user and kernel mode
of the whole process with its threads and what it waited for, as the kernel counts them at its end.

    measure.py FOLDER PROGRAM [ARGUMENT...]
"""

import json
import os
import sys
import time


def main() -> None:
    folder, *command = sys.argv[1:]
    os.chdir(folder)
    nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    began = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=[nowhere])
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps({"wall": wall, "cpu": used.ru_utime + used.ru_stime, "code": code}))


main()
