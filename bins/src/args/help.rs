//! What a command's `--help` says below its arguments: what it prints, how it ends, examples.
//!
//! Paragraphs are one line each, which clap wraps to the terminal.

pub(super) const ROOT: &str = "\
Every setting can also come from the environment variable in brackets; a flag counts more. \
`talkie COMMAND --help` says what a command prints, how it ends, and shows examples.

Begin here:
  talkie demo                             see it work, on this machine only
  export TALKIE_SECRET=$(talkie keygen)   then the same secret in every terminal
  talkie sub 'orders/*'                   in one terminal
  talkie pub orders/42 hello              in another

Exit codes: 0 done, 1 it did not work out, 2 wrong usage.";

pub(super) const DEMO: &str = "\
Starts three real nodes as processes of this machine, with a fresh secret and over the loopback interface only, and \
tells what each does as it happens: who found whom, what was published, who received it and after how long (from \
the call of publish in one process until the subscriber in the other has it). It ends by itself. No setting and no \
variable changes it.

Exit codes: 0 it worked, 1 it did not (the last line says why) or was interrupted, 2 wrong usage.

Examples:
  talkie demo
  talkie demo --json";

pub(super) const JOIN: &str = "\
Prints `joined` with this node's id and addresses, then `peer_up` and `peer_down` for each node of the mesh, whatever \
bus it opens. Stays until it is interrupted (SIGINT, SIGTERM, or SIGHUP of its terminal), then says goodbye. A network \
that is not there, or goes, is waited for.

As a service (`Type=notify` of systemd) it tells its manager when it has joined, with how many nodes it is linked, and \
that it leaves.

With --metrics (which every command that joins takes) its counters can be scraped by Prometheus: links, round-trip times, \
heartbeats, messages, losses by reason, queues.

Exit codes: 0 interrupted, 1 it could not join, 2 wrong usage.

Examples:
  talkie join --secret-file mesh.secret
  talkie join --metrics 127.0.0.1:9255
  talkie join --json | jq -r 'select(.event == \"peer_up\") | .name'
  talkie join --multicast off --partners alpha,beta";

pub(super) const SUB: &str = "\
Prints what `join` prints, `subscribed` for each pattern, and then each message as it comes: its topic and its \
payload, and its headers where it has some. A message that matches several of the patterns is printed once. Where messages were lost, a gap with their \
number stands in their place; with several patterns each tells of its own gaps.

Without --json control characters are escaped, and a payload that is not UTF-8 is shown in base64.

Stays until it is interrupted (SIGINT, SIGTERM, or SIGHUP of its terminal), or --count or --timeout ends it, then says \
goodbye. It can be a service as `join` can.

Exit codes: 0 ended as asked, 1 ended before --count was reached or could not join, 2 wrong usage.

Examples:
  talkie sub 'orders/*'
  talkie sub orders/42 'alarms/**' --count 1 --timeout 30
  talkie sub '**' --json | jq -r .payload";

pub(super) const PUB: &str = "\
Waits until as many nodes as --subscribers want the topic, publishes, waits until every message is handed over to all \
nodes that wanted it, says goodbye and prints `published` with the number of messages and of nodes (where they \
differ from message to message, the most that one went to).

With `-` each line of standard input is a message, sent as it comes: its bytes without the line feed, a carriage \
return included. An empty line is an empty message; the last line needs no line feed. A line longer than \
--max-message ends it; the lines before are handed over.

Each message gets the headers. A key is 1 to 64 printable ASCII characters without blanks, a value any bytes; there are \
at most 32 headers, of 4,096 bytes together.

Exit codes: 0 handed over or interrupted; 1 nobody wanted it in time (nothing was sent), a node was lost before it \
had everything (the number of messages in doubt is told), or one that stood still had no room; 2 wrong usage.

Examples:
  talkie pub orders/42 hello
  talkie pub orders/42 hallo --header language=de
  tail -f app.log | talkie pub logs/shop -
  talkie pub shop/closing --subscribers 3 --timeout 0.5";

pub(super) const REQUEST: &str = "\
Waits until as many nodes as --responders answer the topic, asks the nearest of them, prints its answer (`reply`) and says \
goodbye. That there will be no answer is told at once where it can be: the responder dropped the request, or is gone.

With --all every responder is asked. Each answer is printed as it comes, and whoever gives none is named (`missing`, with \
why: `dropped`, `gone`, `timeout`, `no_responder`, `no_room` or `not_understood`).

Without --json control characters are escaped, but for a line feed at the end, and a payload that is not UTF-8 is shown in \
base64.

Exit codes: 0 answered (with --all: by all) or interrupted; 1 nobody answers the topic (nothing was sent), or there was no \
answer in time or at all; 2 wrong usage.

Examples:
  talkie request devices/7 restart
  talkie request devices/status --all --responders 3 --timeout 2
  date | talkie request clock/set - --json | jq -r .payload";

pub(super) const REPLY: &str = "\
Prints what `join` prints, `subscribed`, and then each `request` as it comes. Its answer is what was asked (--echo), or \
what `sh -c CMD` prints (--exec): it has the payload on its standard input and the topic as `$1`. Up to 32 commands run at \
once.

A command that fails, prints more than --max-message allows, or takes longer than its asker waits gives no answer: the \
request is dropped, the asker told so, and a warning logged. Its processes are ended when it is too late, or when this \
command ends.

Stays until it is interrupted (SIGINT, SIGTERM, or SIGHUP of its terminal), then says goodbye. It can be a service as \
`join` can.

Exit codes: 0 interrupted, 1 it could not join, 2 wrong usage.

Examples:
  talkie reply hosts/web/uptime --exec uptime
  talkie reply 'digest/*' --exec sha256sum
  talkie reply echo --echo";

pub(super) const PEERS: &str = "\
Prints a line for each other node of the mesh, whatever bus it opens: its name, its id, its address, the round trip \
to it and since when it is linked. Having found none is no error, unless --count asks for some.

Exit codes: 0 looked, 1 fewer than --count or it could not join, 2 wrong usage.

Examples:
  talkie peers
  talkie peers --count 3 --wait 30        wait until three others are there
  talkie peers --wait 3 --json | jq -r .addr";

pub(super) const KEYGEN: &str = "\
Prints one line: `tk1-`, 256 random bits and a checksum, which tells a typing error from another secret. Give the \
same one to every member, best in a file that only they can read.

Exit codes: 0 printed, 1 it could not be written, 2 wrong usage.

Examples:
  export TALKIE_SECRET=$(talkie keygen)
  (umask 077; talkie keygen > mesh.secret) && talkie join --secret-file mesh.secret";

pub(super) const COMPLETIONS: &str = "\
Prints a script for a shell, which then completes commands, flags and values. New terminals have it.

Exit codes: 0 printed, 1 it could not be written, 2 wrong usage.

Examples:
  talkie completions bash > ~/.local/share/bash-completion/completions/talkie
  talkie completions zsh > ~/.zfunc/_talkie        with ~/.zfunc in fpath
  talkie completions fish > ~/.config/fish/completions/talkie.fish";

pub(super) const MAN: &str = "\
Prints talkie(1): the settings with their environment variables, the JSON lines, exit codes, signals and files. With DIR \
it writes that page and one for each command there, for `man` to find.

Exit codes: 0 printed or written, 1 it could not be written, 2 wrong usage.

Examples:
  talkie man | man -l -
  talkie man ~/.local/share/man/man1";

pub(super) const BENCH: &str = "\
Each measurement starts processes of this machine, with a fresh secret and over the loopback interface only: no setting \
is needed, and no variable changes it. Across machines, run `talkie bench serve` on the others and `talkie bench fanout \
--across` on one, all with the same secret.

Standard output has the results: a table, or with --json one object `{\"event\":\"bench\",…}` for each row of it, or with \
--csv comma-separated values. Times are in the unit that their name ends with; `null` stands for what was not measured. \
JSON, CSV, histograms (HdrHistogram V2, nanoseconds) and a picture (SVG and PNG) go to the folder that --save names. \
What spoils a figure (a debug build, a busy machine, a CPU governor that saves power, too few cores) is warned of.

Figures drift with the machine and the hour: compare what one run shows, and repeat it.

Exit codes: 0 measured, 1 it did not work out or was interrupted, 2 wrong usage.

Examples:
  talkie bench fanout
  talkie bench throughput --size 64,1024 --subscribers 2
  talkie bench detect --json --no-save";

pub(super) const BENCH_FANOUT: &str = "\
A publisher process sends at a fixed rate to subscriber processes. It is an open loop: the schedule never shifts, and \
latency counts from when a message was due until a subscriber has it in hand, so that a stall is seen in every message \
that waited behind it. Shown are the percentiles over all deliveries (p50 …), of the last subscriber to have each \
message (`last`), counted from the call of publish instead (`call`), and how late the publisher itself was (`late`).

Counted by the numbers in the messages: delivered, lost, doubled, reordered. `cpu` is processor time of all processes \
per million deliveries; `resident` the memory of the publisher and of the largest subscriber.

Across machines latency is one way where all clocks are the same (processes of one host), and there and back otherwise: \
`clock` says which.

Exit codes: 0 measured, 1 it did not work out or was interrupted, 2 wrong usage.

Examples:
  talkie bench fanout
  talkie bench fanout --subscribers 16 --rate 10000 --seconds 10 --rounds 3
  talkie bench fanout --across --secret-file mesh.secret";

pub(super) const BENCH_THROUGHPUT: &str = "\
A publisher process sends as fast as it goes to subscriber processes, each size for so many seconds. Where a subscriber \
is slower, `publish` waits, so nothing should be lost; what is lost all the same is counted. Rates are per subscriber, \
from its first message to its last.

Exit codes: 0 measured, 1 it did not work out or was interrupted, 2 wrong usage.

Examples:
  talkie bench throughput
  talkie bench throughput --subscribers 1 --size 1024 --seconds 10";

pub(super) const BENCH_LOCAL: &str = "\
One process with M subscriptions, a task each, and no other node. A message is published when all have the one before; \
the time counts from the call of publish until the last of them has it.

Exit codes: 0 measured, 1 it did not work out or was interrupted, 2 wrong usage.

Examples:
  talkie bench local
  talkie bench local --subscribers 1,100,10000";

pub(super) const BENCH_DISCOVERY: &str = "\
Starts processes at once, on a mesh of their own, and again for each round: two of them, and N. Times count from the \
start of the first process until each is linked to each (`linked`), and until each has a message of each (`talked`). \
Starting the processes is part of it.

Exit codes: 0 measured, 1 it did not work out or was interrupted, 2 wrong usage.

Examples:
  talkie bench discovery
  talkie bench discovery --nodes 16 --rounds 10";

pub(super) const BENCH_DETECT: &str = "\
Two linked processes; one is killed (SIGKILL) or frozen (SIGSTOP), and the time counts until the other is told that it is \
gone. A frozen process keeps its connection, so only its silence tells, which takes about three seconds.

Exit codes: 0 measured, 1 it did not work out or was interrupted, 2 wrong usage.

Examples:
  talkie bench detect
  talkie bench detect --rounds 10";

pub(super) const BENCH_SERVE: &str = "\
Joins the mesh and is a subscriber for whoever measures with `talkie bench fanout --across` or `throughput --across`, one \
after the other. It does nothing else, and takes no payload of other topics. Whatever --bus says, it uses the bus \
`talkie-bench`. Prints `joined` and stays until it is interrupted.

Exit codes: 0 interrupted, 1 it could not join, 2 wrong usage.

Examples:
  talkie bench serve --secret-file mesh.secret
  talkie bench serve --interface eth1";
