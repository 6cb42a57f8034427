# Waits for the owner: told `leave`, it does nothing. At the end of the pipe, which comes also with `kill -9`, it stops the
# server whose id is in the file $2 by the signal $3 and removes the directory $1. Starting a server could write into the directory once more,
# hence the repetition.
trap '' HUP INT TERM
read -r word && [ "$word" = leave ] && exit 0
read -r pid < "$2"
tries=0
while [ -n "$pid" ] && kill -s "$3" "$pid" && [ $tries -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
[ -n "$pid" ] && kill -s KILL "$pid"
tries=0
while [ -e "$1" ] && [ $tries -lt 100 ]; do rm -rf "$1"; sleep 0.05; tries=$((tries + 1)); done
