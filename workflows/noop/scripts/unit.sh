# Sourced by bash: one unit. Arguments: key, output, bytes, seconds, exit code (0: succeed), payload=TEXT.
# Accounting is append-only and undeclared, so that an engine that starts a unit twice cannot hide it.
key=$1 output=$2 size=$3 seconds=$4 fails=$5 payload=${6#payload=}
[ -d work/executions ] || mkdir -p work/executions
account=work/executions/$key.log
temporary=${output%/*}/.$key.$$.tmp
echo "start $$ ${EPOCHREALTIME/,/.}" >> "$account"
[ "$seconds" = 0 ] || sleep "$seconds"

if [ "$fails" != 0 ]; then
    echo "unit $key: fails as asked for, with exit status $fails"
    echo "failed $$ ${EPOCHREALTIME/,/.}" >> "$account"
    exit "$fails"
fi

# The content follows from key and payload alone: the same unit is the same bytes wherever it ran.
line=$key${payload:+ $payload}$'\n'
if [ "$size" -le 4096 ]; then
    LC_ALL=C
    content=$line
    while [ ${#content} -lt "$size" ]; do content=$content$content; done
    printf '%s' "${content:0:$size}" > "$temporary"
else
    head -c "$size" < <(yes "${line%$'\n'}") > "$temporary"
fi
sync "$temporary"
mv -f "$temporary" "$output"
echo "end $$ ${EPOCHREALTIME/,/.}" >> "$account"
echo "unit $key: $size bytes"
