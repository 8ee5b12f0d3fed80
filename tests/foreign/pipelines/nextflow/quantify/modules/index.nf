process INDEX {
    tag "$reference.simpleName"
    container 'quay.io/example/salmon:1.10'

    input:
    path reference

    output:
    path 'index.txt'

    script:
    """
    grep -v '^>' $reference | tr -d '\\n' | awk '{ for (i = 1; i <= length(\$0) - ${params.kmer} + 1; i++) print substr(\$0, i, ${params.kmer}) }' | sort | uniq -c > index.txt
    """
}
