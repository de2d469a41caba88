"""Kills its own process at one point of the product, without a hook in the product.

Python imports this module when it starts, where its directory stands on PYTHONPATH; a test copies it to one of its own.
Beside it, the file `functions` names those to wrap, as `module:qualname`, one a line. A call of one of them ends the
process by SIGKILL when the file `armed` says so: `role module:qualname:before|after:nth`, where the role is a word of
the process's command line. Just before, the file becomes `reached`: the test knows by it that the point was reached, and
nobody dies twice.
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

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow to import in every process
ARMED, REACHED, FUNCTIONS = (os.path.join(HERE, name) for name in ("armed", "reached", "functions"))  # noqa: PTH118


class Function:
    """One wrapped function."""

    def __init__(self, text: str) -> None:
        self.module, self.qualname = text.split(":")
        self.text = text
        self.order = ""
        self.calls = 0
        self.lock = threading.Lock()

    def reached(self, when: str) -> None:
        """Count a call that the order speaks of, and end this process at the one that was asked for."""
        try:
            with open(ARMED, encoding="ascii") as file:  # noqa: PTH123 - as above
                order = file.read()
        except FileNotFoundError:
            return
        role, _, point = order.partition(" ")
        wanted, _, nth = point.rpartition(":")
        if wanted != f"{self.text}:{when}" or role not in sys.orig_argv:
            return
        with self.lock:
            self.calls = 1 if order != self.order else self.calls + 1
            self.order = order
            if self.calls != int(nth):
                return
        try:
            os.rename(ARMED, REACHED)  # noqa: PTH104 - as above
        except FileNotFoundError:
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
    """Lets modules be loaded as always, then patches them."""

    def __init__(self, functions: list[Function]) -> None:
        self.functions = functions
        self.looking = threading.local()

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        mine = [function for function in self.functions if function.module == name]
        if not mine or getattr(self.looking, "name", "") == name:
            return None
        self.looking.name = name
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.looking.name = ""
        assert spec is not None, name
        assert spec.loader is not None, name
        load = spec.loader.exec_module

        def load_and_patch(module: object) -> None:
            load(module)
            for function in mine:
                function.patch(module)

        spec.loader.exec_module = load_and_patch
        return spec


if os.path.exists(FUNCTIONS):  # noqa: PTH110 - as above
    with open(FUNCTIONS, encoding="ascii") as functions:  # noqa: PTH123 - as above
        sys.meta_path.insert(0, Finder([Function(line.strip()) for line in functions]))
