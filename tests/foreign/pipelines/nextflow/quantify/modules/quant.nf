process QUANT {
    tag "$name"
    publishDir "${params.outdir}/${params.label}", mode: 'copy'

    input:
    path index
    tuple val(name), path(reads)

    output:
    path "${name}.txt"

    script:
    """
    count.sh $index $reads > ${name}.txt
    echo "fraction ${params.fraction} upper ${params.upper} min ${params.filter.min} max ${params.filter.max} trim ${params.trim.left} ${params.trim.right}" >> ${name}.txt
    """
}
