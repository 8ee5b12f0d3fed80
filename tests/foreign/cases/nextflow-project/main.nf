process IN_PROJECT {
    publishDir "${projectDir}/results", mode: 'copy'
    output: path 'made.txt'
    script: "echo made > made.txt"
}

workflow { IN_PROJECT() }
