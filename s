Usage: orchestrator <command>

Run sagas, and look after them.

Flags:
  -h, --help    Show context-sensitive help.

Commands:
  run
    Run the service; settings come from the environment. The default.

  saga list [flags]
    List sagas, newest first.

  saga show <id> [flags]
    Show one saga with its timeline.

  saga explain <id> [flags]
    Say why a saga is where it is, and what stands in the way.

  saga retry --reason=STRING <id> [flags]
    Send the commands that a saga waits for again, now.

  saga cancel --reason=STRING <id> [flags]
    Undo a saga.

  saga force --reason=STRING <id> <end> [flags]
    End a saga without sending anything: for what was settled by hand.

  saga diagram [<name>] [flags]
    Print a definition as a diagram.

Run "orchestrator <command> --help" for more information on a command.

