awk -v m="$1" -v f="$2" '$1 >= m {n += f} END {print n + 0}'
