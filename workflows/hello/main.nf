// One job that greets: the smallest complete workflow. docs/workflows.md says what a workflow folder is.
import groovy.json.JsonOutput

nextflow.enable.dsl = 2


process greet {
    publishDir '.', mode: 'copy', overwrite: true

    input:
    path script, name: 'greet.py'
    // On standard input, because Nextflow pastes other values into a shell's text: `$(…)` in a name would be carried out.
    stdin

    output:
    path 'outputs/greeting.txt'
    path 'outputs/greeting.json'

    script:
    '''
    mkdir -p outputs
    python3 greet.py --values "$(cat)" --text outputs/greeting.txt --document outputs/greeting.json
    '''
}


workflow {
    def values = [language: params.language, who: params.who]
    greet(file("${moduleDir}/scripts/greet.py", glob: false), JsonOutput.toJson(values))
}
