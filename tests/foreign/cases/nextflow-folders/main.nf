params.outdir = 'results'

process REPORT {
    tag "$id"
    publishDir "${params.outdir}/reports"
    input: val id
    output: path "${id}_report"
    script:
    """
    mkdir -p ${id}_report/hollow
    echo report of $id > ${id}_report/index.html
    """
}

process TABLE {
    publishDir params.outdir, mode: 'copy', saveAs: { name -> "tables/of all+é.csv" }
    input: path reports
    output: path 'table.csv'
    script: "ls $reports > table.csv"
}

process QUIET {
    errorStrategy 'retry'
    maxRetries 2
    publishDir params.outdir, mode: 'link'
    output: path 'third.txt'
    script: "[ ${task.attempt} = 2 ] && echo ${task.attempt} > third.txt"
}

workflow {
    REPORT(Channel.of('gut', 'liver'))
    TABLE(REPORT.out.collect(sort: { it.name }))
    QUIET()
}

workflow only {
    QUIET()
}
