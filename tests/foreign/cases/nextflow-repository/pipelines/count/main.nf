params.outdir = 'results'

process COUNT {
    publishDir params.outdir, mode: 'copy'
    input: path file
    output: path 'lines.txt'
    script: "wc -l < $file > lines.txt"
}

workflow { COUNT(Channel.fromPath("${projectDir}/data/*.txt")) }
