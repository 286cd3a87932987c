"""From a file, line, text or name to code objects and live functions, or why not and the nearest
lines.

`program.Program` answers the agent's background thread; `imports.ImportWatch` shows modules' code
before it is executed, and
`places.locate_in` resolves places in it. Nothing here changes code: that is `rewrite`'s.
"""
