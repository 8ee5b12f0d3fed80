while read -r name; do for i in $(seq "$4"); do echo "$3 $name"; done; done < "$1" > "$2"
