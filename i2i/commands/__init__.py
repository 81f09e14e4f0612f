"""The commands of `i2i`, a module each with `run(options) -> exit status`; `parser` has the words.

A command's module is imported when it is called: `i2i --help` loads neither NumPy nor an engine.
"""
