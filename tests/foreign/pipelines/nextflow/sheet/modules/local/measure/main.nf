process MEASURE {
    tag "$sample"
    label 'process_low'
    publishDir "${params.outdir}/measure", mode: params.publish_dir_mode

    container "${ workflow.containerEngine == 'singularity' && !task.ext.singularity_pull_docker_container ?
        'https://depot.galaxyproject.org/singularity/fastqc:0.12.1--hdfd78af_0' :
        'biocontainers/fastqc:0.12.1--hdfd78af_0' }"

    input:
    tuple val(sample), path(reads), val(strandedness)

    output:
    path "*.tsv"

    script:
    def args = task.ext.args ?: ''
    def prefix = sample.replaceAll(/[^A-Za-z0-9_'"]/, '_')
    """
    measure.sh ${reads} ${params.min_length} ${strandedness} ${args} > ${prefix}.tsv
    """
}
