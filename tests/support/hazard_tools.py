"""What the scripts share: saying what happens, and interrupting themselves when it does."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable


def say(text: str) -> None:
    print(text, flush=True)


def interrupt(after: float = 0.0) -> None:
    """Press Ctrl-C, in a while."""
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()


def saying(*cues: str, after: float = 0.02) -> Callable[[str], None]:
    """A `say` that presses Ctrl-C a moment after each of the cues."""

    def speak(text: str) -> None:
        say(text)
        if text in cues:
            interrupt(after)

    return speak


class Cue:
    """A `say` that others can wait for, however busy the machine is."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._said = threading.Event()

    def __call__(self, text: str) -> None:
        say(text)
        if text == self._text:
            self._said.set()

    def wait(self) -> None:
        """Until it is said, and a moment longer, in which its speaker comes to rest."""
        self._said.wait()
        time.sleep(0.1)


def loop_threads() -> int:
    return sum("hostup" in thread.name for thread in threading.enumerate())


def patience() -> float:
    """Seconds for what shall be quick, on a busy machine too; the opposite takes 60."""
    return float(os.environ.get("HAZARD_PATIENCE", "5"))


class Stopwatch:
    def __init__(self) -> None:
        self.began = time.monotonic()

    def quick(self) -> str:
        took = time.monotonic() - self.began
        return "quick" if took < patience() else f"slow: {took:.2f} s"


def child(function: Callable[[], None], *, hard: bool = False) -> int:
    """Fork; run the function in the child; its exit code."""
    pid = os.fork()
    if pid == 0:
        if hard:
            function()
            sys.stdout.flush()
            os._exit(0)
        function()
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
