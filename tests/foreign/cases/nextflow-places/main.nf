params.letters = 'abc'

include { UPPER } from './modules/upper'

process BESIDE {
    publishDir "${launchDir}/beside", mode: 'copy'
    input: val letters
    output: path '*.txt'
    script: "for l in \$(echo $letters | sed 's/./& /g'); do echo \$l > \$l.txt; done"
}

process KEPT {
    storeDir 'kept'
    output: path 'stored.txt'
    script: "helper.sh > stored.txt"
}

process TEMPLATED {
    publishDir 'fixed/place', mode: 'copy', overwrite: true
    input: val word
    output: path 'said.txt'
    script: template 'say.sh'
}

process IGNORED {
    errorStrategy 'ignore'
    output: path 'never.txt'
    script: "exit 3"
}

workflow {
    BESIDE(params.letters)
    UPPER(BESIDE.out.flatten())
    KEPT()
    TEMPLATED('templated')
    IGNORED()
    UPPER.out.collectFile(name: 'collected.txt', storeDir: 'collected', sort: { it.name })
    file('written.txt').text = "by the script\n"
}
