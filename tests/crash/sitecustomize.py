"""Kills its own process at one point of the product, without a hook in the product.

Python imports this module when it starts, where its directory stands on PYTHONPATH. CRASH_POINT says where:
`module:qualname:before|after:nth`, CRASH_ROLE in which process (a word of its command line), CRASH_MARK the file that
is made just before: the test reads from it that the point was reached, and a process that finds it lives on.
"""

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import signal
import sys
import threading
from pathlib import Path


class Point:
    """One call of one function."""

    def __init__(self, text: str, mark: str) -> None:
        self.module, self.qualname, self.when, nth = text.split(":")
        self.nth = int(nth)
        self.mark = mark
        self.calls = 0
        self.lock = threading.Lock()

    def reached(self, when: str) -> None:
        """Count, and end this process at the call that was asked for."""
        if when != self.when:
            return
        with self.lock:
            self.calls += 1
            if self.calls != self.nth:
                return
            try:
                os.close(os.open(self.mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    def patch(self, module: object) -> None:
        """Wrap the function in its module or class."""
        *outer, name = self.qualname.split(".")
        owner = functools.reduce(getattr, outer, module)
        function = getattr(owner, name)
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapped(*args: object, **kwargs: object) -> object:
                self.reached("before")
                answer = await function(*args, **kwargs)
                self.reached("after")
                return answer

        else:

            @functools.wraps(function)
            def wrapped(*args: object, **kwargs: object) -> object:
                self.reached("before")
                answer = function(*args, **kwargs)
                self.reached("after")
                return answer

        setattr(owner, name, wrapped)


class Finder(importlib.abc.MetaPathFinder):
    """Lets the module be loaded as always, then patches it."""

    def __init__(self, point: Point) -> None:
        self.point = point

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != self.point.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        assert spec.loader is not None, name
        load = spec.loader.exec_module

        def load_and_patch(module: object) -> None:
            load(module)
            self.point.patch(module)

        spec.loader.exec_module = load_and_patch
        return spec


def arm() -> None:
    """Wait for the module, where this is the process that is to be killed and was not yet."""
    point, mark = os.environ.get("CRASH_POINT"), os.environ.get("CRASH_MARK", "")
    if point and os.environ["CRASH_ROLE"] in sys.orig_argv and not Path(mark).exists():
        sys.meta_path.insert(0, Finder(Point(point, mark)))


arm()
