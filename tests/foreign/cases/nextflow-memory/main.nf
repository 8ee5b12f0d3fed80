process BIG {
    memory '2 GB'
    cpus 2
    publishDir 'results'
    output: path 'made.txt'
    script: "echo ${task.cpus} > made.txt"
}

workflow { BIG() }
