
params.outdir = 'results'
params.raw = 'raw.txt'
process MAKE {
    publishDir params.outdir
    publishDir { "by id/${id}" }, mode: 'copy', saveAs: { it == 'empty' ? 'renamed' : null }
    publishDir "ELSEWHERE/${id}", mode: 'copy', pattern: '*.txt'
    input:
    tuple val(id), path(raw)
    output:
    path "logs_${id}"
    path "empty"
    path "table.txt"
    path raw
    script:
    '''
    mkdir -p logs_gut/deep empty
    echo report > logs_gut/deep/gut.html
    echo 1 > table.txt
    '''
}
workflow {
    MAKE(channel.of('gut').combine(channel.fromPath(params.raw)))
    channel.of('a', 'b').collectFile(name: 'all.txt', storeDir: 'collected', newLine: true)
}
