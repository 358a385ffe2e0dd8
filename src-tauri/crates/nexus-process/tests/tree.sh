# A tree of processes that is hard to end. Each of them notes its number and start time in the
# file PIDS before it does anything else; MAIN is how the first one takes SIGTERM, and SAID the
# file where it notes the code that it is about to end with.
#
#   sh tree.sh main [exit] SHAPE…

note() {
    read -r row < /proc/$$/stat
    set -- ${row##*) }
    echo "$$ ${20}" >> "$PIDS"
}

again() {
    sh "$TREE" "$@"
}

# Starts processes of a shape, and comes back.
grow() {
    case $1 in
    double_fork)
        (again leaf & again leaf &) &
        (again branch &) &
        ;;
    setsid)
        setsid sh "$TREE" leaf &
        setsid -f sh "$TREE" branch
        if [ "$STRIP" = yes ]; then
            env -i PATH="$PATH" TREE="$TREE" PIDS="$PIDS" setsid -f sh "$TREE" leaf
        fi
        ;;
    nohup)
        nohup sh "$TREE" branch > /dev/null 2>&1 &
        nohup setsid sh "$TREE" leaf > /dev/null 2>&1 &
        ;;
    deaf)
        again deaf &
        setsid sh "$TREE" deaf &
        ;;
    stopped)
        again leaf &
        kill -STOP $!
        setsid sh "$TREE" stopped &
        ;;
    respawning)
        again keeper &
        setsid sh "$TREE" watcher &
        ;;
    esac
}

shape=$1
shift
note
case $shape in
main)
    if [ "$MAIN" = deaf ]; then
        trap '' TERM INT HUP
    else
        trap 'echo 143 > "$SAID"; exit 143' TERM
    fi
    if [ "$1" = exit ]; then
        shift
        leave=yes
    fi
    for part in "$@"; do
        grow "$part"
    done
    echo ready
    if [ "$leave" = yes ]; then
        echo 7 > "$SAID"
        exit 7
    fi
    while :; do
        sleep 1000 &
        wait $!
    done
    ;;
leaf)
    exec sleep 1000
    ;;
branch)
    again leaf &
    wait
    exec sleep 1000
    ;;
deaf)
    trap '' TERM INT HUP QUIT
    while :; do
        sleep 1000
    done
    ;;
stopped)
    again leaf &
    kill -STOP $$
    exec sleep 1000
    ;;
keeper)
    # Starts its child again whenever that is gone.
    trap '' TERM
    while :; do
        again leaf
    done
    ;;
watcher)
    # Two that watch each other: whichever is gone is started again by the other.
    trap '' TERM
    other=$1
    while :; do
        if [ -z "$other" ] || ! kill -0 "$other" 2> /dev/null; then
            setsid sh "$TREE" watcher $$ &
            other=$!
        fi
        sleep 0.02
    done
    ;;
esac
