"""The scripted assistant of the demo: it finds the fault of `trades` by asking the running service.

`story` tells it, `assistant` makes the calls, `processes` starts and ends what runs beside it,
`measure` and `screen` show it, `clients` says how to go on with an assistant of your own.
"""
