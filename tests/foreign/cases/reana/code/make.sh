mkdir -p results/plots/deep
cat "$2" "$3" > results/plots/deep/both.txt
echo "$1" > results/one.txt
