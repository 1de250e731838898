"""Uses of CPython's standard library that system calls are needed for. Prints `ok`; any failure is a traceback."""

import asyncio
import concurrent.futures
import fcntl
import json
import mmap
import multiprocessing
import os
import pathlib
import platform
import resource
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zipfile


def files(folder):
    path = folder / "a" / "b"
    path.mkdir(parents=True)
    (path / "text").write_text("one\n")
    os.link(path / "text", path / "hard")
    os.symlink("text", path / "soft")
    os.rename(path / "hard", path / "moved")
    os.chmod(path / "moved", 0o600)
    os.utime(path / "moved", (1, 1))
    shutil.copy2(path / "text", path / "copy")
    os.truncate(path / "copy", 0)
    shutil.copytree(folder / "a", folder / "tree", symlinks=True)
    assert sorted(entry.name for entry in os.scandir(path)) == ["copy", "moved", "soft", "text"]
    with open(path / "text", "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_UN)
        os.fsync(file.fileno())
        os.pwrite(file.fileno(), b"x", 0)
        assert os.pread(file.fileno(), 1, 0) == b"x"
        with mmap.mmap(file.fileno(), 4) as area:
            area[0:1] = b"y"
            area.flush()
    with zipfile.ZipFile(folder / "zip", "w") as archive:
        archive.write(path / "text")
    shutil.rmtree(folder / "tree")
    os.statvfs(folder)
    os.umask(0o022)


def processes():
    assert subprocess.run(["/bin/echo", "a"], capture_output=True, check=True).stdout == b"a\n"
    assert subprocess.run("exit 3", shell=True, start_new_session=True).returncode == 3
    child = subprocess.Popen(["/bin/sleep", "60"])
    child.terminate()
    assert child.wait(10) == -signal.SIGTERM
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    os.kill(os.getpid(), 0)
    resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.getrusage(resource.RUSAGE_CHILDREN)
    os.sched_getaffinity(0)
    os.nice(0)


def square(number):
    return number * number


def workers():
    done = []
    threads = [threading.Thread(target=done.append, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 1, 2, 3]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(square, range(3))) == [0, 1, 4]
    reader, writer = multiprocessing.get_context("fork").Pipe()
    child = multiprocessing.get_context("fork").Process(target=writer.send, args=(9,))
    child.start()
    assert reader.recv() == 9
    child.join()


def waiting():
    fired = []
    signal.signal(signal.SIGALRM, lambda *_: fired.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(0.05)
    assert fired
    reader, writer = os.pipe()
    os.write(writer, b"x")
    assert select.select([reader], [], [], 1)[0]
    poll = select.poll()
    poll.register(reader)
    assert poll.poll(100)
    with select.epoll() as epoll:
        epoll.register(reader)
        assert epoll.poll(1)

    async def both():
        program = await asyncio.create_subprocess_exec("/bin/cat", stdin=-1, stdout=-1)
        out, _ = await program.communicate(b"hello")
        await asyncio.sleep(0.01)
        return out

    assert asyncio.run(both()) == b"hello"


def sockets():
    left, right = socket.socketpair()
    left.sendall(b"x")
    assert right.recv(1) == b"x"
    left.close(), right.close()
    for family, address in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]:
        try:
            server = socket.create_server((address, 0), family=family)
        except OSError as error:
            # No IPv6 here: an answer of the network, not of a filter.
            assert error.errno != 1, error
            continue
        client = socket.create_connection(server.getsockname()[:2], 5)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted, _ = server.accept()
        accepted.sendall(b"y")
        assert client.recv(1) == b"y"
        client.shutdown(socket.SHUT_RDWR)
        for one in (client, accepted, server):
            one.close()
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    datagrams.sendto(b"z", datagrams.getsockname())
    assert datagrams.recvfrom(1)[0] == b"z"
    datagrams.close()


def database(folder):
    with sqlite3.connect(folder / "db") as connection:
        connection.execute("create table t (a)")
        connection.executemany("insert into t values (?)", [(index,) for index in range(100)])
        assert connection.execute("select count(*) from t").fetchone() == (100,)
    connection.close()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files(folder)
        database(folder)
    processes()
    workers()
    waiting()
    if "--no-sockets" not in sys.argv:
        sockets()
    assert json.loads(json.dumps({"a": [1, 2]})) == {"a": [1, 2]}
    assert platform.machine() and os.urandom(8) and os.cpu_count()
    print("ok")


main()
