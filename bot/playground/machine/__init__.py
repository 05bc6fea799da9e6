"""A small simulated Linux machine: processes, signals, pipes, files, services, and a POSIX shell over them. No sockets.

Everything a demo host does happens in here, in memory. A simulated process is a record in a table, with an asyncio task
when it runs something; its files are nodes of a tree held in a dictionary. Nothing in here starts a program, opens a
file or sends a signal on the machine it runs on, so no text sent to a demo host can: that is why the shell is
interpreted here and not lent from the machine, where `kill` is a builtin and `>` needs no program.

From the bottom up:

- `signals`, `streams`, `tasks`: numbers and names; descriptors and pipes; what runs and can be ended.
- `processes`, `proc`, `files`: the process table, its view below /proc, the tree of files.
- `journal`, `services`: the log, and the units whose jobs systemd carries out.
- `system`: one host made of these, and how a program is called on it.
- `syntax`, `grammar`, `variables`, `arithmetic`, `expansion`, `shell`, `builtins`: from text to what it
  does.
- `programs`: one module per family, and the table of their names.
- `furnishing`: what a new demo host has on it.

A process that is stopped (STOP, TSTP) is shown as `T` but goes on; the scheduler is not simulated.
"""
