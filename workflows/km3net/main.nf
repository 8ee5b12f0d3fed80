// Muon tracks from the hits of a neutrino telescope: filter, calibrate and reconstruct each file, then one table of all.
//
//     nextflow run main.nf [-params-file params.json]
//
// `python` on PATH must have requirements.txt. Values of users reach the scripts on standard input or as the content of a folder:
// Nextflow would paste them into a shell's text.

nextflow.enable.dsl = 2

include { results; runner; sizeOf } from '../../rules/shards.nf'


// The parameters of the campaign, completed and checked. All steps read them from this file.
process check {
    input:
    path scripts, name: 'scripts/*'
    path schema, name: 'schema.json'
    stdin

    output:
    path 'parameters.json'

    script:
    '''
    cat > config.json
    python -B scripts/check.py --config config.json --schema schema.json --out parameters.json
    '''
}

process detector {
    input:
    path scripts, name: 'scripts/*'
    path parameters, name: 'parameters.json'

    output:
    path 'toy.detx'

    script:
    '''
    python -B scripts/simulate.py --parameters parameters.json --file 0 --out toy.detx
    '''
}

process simulate {
    tag "${key}"

    input:
    path scripts, name: 'scripts/*'
    path parameters, name: 'parameters.json'
    path detector, name: 'detector/*'
    tuple val(number), val(key)

    output:
    tuple val(number), val(key), path("simulated-${key}.h5")

    script:
    """
    python -B scripts/simulate.py --parameters parameters.json --detector detector --file ${number} --out simulated-${key}.h5
    """
}

// The volume shrinks here: what follows handles only events that are kept.
process filter_events {
    tag "${key}"
    errorStrategy 'ignore'

    input:
    path scripts, name: 'scripts/*'
    path parameters, name: 'parameters.json'
    tuple val(number), val(key), path(events, name: 'events/*')

    output:
    tuple val(number), val(key), path("filtered-${key}.h5")

    script:
    """
    python -B scripts/filter.py --parameters parameters.json --events events --out filtered-${key}.h5
    """
}

process calibrate {
    tag "${key}"
    errorStrategy 'ignore'

    input:
    path scripts, name: 'scripts/*'
    path detector, name: 'detector/*'
    tuple val(number), val(key), path(events, name: 'filtered.h5')

    output:
    tuple val(number), val(key), path("calibrated-${key}.h5")

    script:
    """
    python -B scripts/calibrate.py --events filtered.h5 --detector detector --out calibrated-${key}.h5
    """
}

process reconstruct {
    tag "${key}"
    errorStrategy 'ignore'

    input:
    path scripts, name: 'scripts/*'
    path parameters, name: 'parameters.json'
    path detector, name: 'detector/*'
    tuple val(number), val(key), path(events, name: 'calibrated.h5')

    output:
    path "tracks-${key}.h5"

    script:
    """
    python -B scripts/reconstruct.py --parameters parameters.json --events calibrated.h5 --detector detector --file ${number} --out tracks-${key}.h5
    """
}

// Many files in a task, each through all steps. What they make and the journal are where no task would clean up.
process reconstruct_shard {
    tag "${part}"
    errorStrategy 'ignore'

    input:
    path runner, name: 'shard'
    path scripts, name: 'scripts/*'
    path parameters, name: 'parameters.json'
    path detector, name: 'detector/*'
    tuple val(part), val(begin), path(events, name: 'events??????/*'), stdin

    output:
    path "tracks-${part}.json"

    script:
    """
    IFS= read -r root
    cat > units.jsonl
    python -B shard --step reconstruct --units units.jsonl --begin ${begin} --slots ${task.cpus} \\
        --journal "\$root/work/shards" --root "\$root" --result 'work/tracks/tracks-{unit}.h5' --log 'logs/reconstruct/{unit}.log' \\
        --manifest tracks-${part}.json --value parameters=parameters.json --value detector=detector --call scripts/chain.py
    """
}

process summary {
    publishDir '.', mode: 'copy', overwrite: true

    input:
    path scripts, name: 'scripts/*'
    path parameters, name: 'parameters.json'
    path tracks, name: 'tracks/*'

    output:
    path 'outputs/events.fits', emit: table
    path 'outputs/summary.json', emit: document

    script:
    '''
    mkdir -p outputs
    python -B scripts/summary.py --parameters parameters.json --tracks tracks --table outputs/events.fits --out outputs/summary.json
    '''
}

// Succeeds with invalid results too: the verdict must be there to be read.
process validate {
    publishDir '.', mode: 'copy', overwrite: true

    input:
    path scripts, name: 'scripts/*'
    path table, name: 'events.fits'
    path document, name: 'summary.json'

    output:
    path 'outputs/validation.json'

    script:
    '''
    mkdir -p outputs
    python -B scripts/validate.py --table events.fits --summary summary.json --out outputs/validation.json
    '''
}

process plots {
    publishDir '.', mode: 'copy', overwrite: true

    input:
    path scripts, name: 'scripts/*'
    path table, name: 'events.fits'
    path document, name: 'summary.json'

    output:
    path 'outputs/plots/*.png'

    script:
    '''
    python -B scripts/figures.py --table events.fits --summary summary.json --out outputs/plots
    '''
}

process report {
    publishDir '.', mode: 'copy', overwrite: true

    input:
    path scripts, name: 'scripts/*'
    path schema, name: 'schema.json'
    path document, name: 'summary.json'
    path validation, name: 'validation.json'
    path figures, name: 'plots/*'

    output:
    path 'outputs/report.html'

    script:
    '''
    mkdir -p outputs
    python -B scripts/report.py --summary summary.json --validation validation.json --schema schema.json --plots plots --out outputs/report.html
    '''
}

// Last, so that invalid results still come with their plots and their report.
process verdict {
    input:
    path scripts, name: 'scripts/*'
    path validation, name: 'validation.json'
    path page, name: 'report.html'

    output:
    path 'verdict.txt'

    script:
    '''
    python -B scripts/verdict.py --validation validation.json --out verdict.txt
    '''
}


workflow {
    def schema = file("${projectDir}/params.schema.json", glob: false)
    def inputs = (params.containsKey('inputs') ? params.inputs : null) ?: [:]
    // Which files are read does not belong to the parameters: another file must not repeat the work on the others.
    def config = params.findAll { name, _value -> !(name in ['inputs', 'selected', 'shard_size', 'workflow']) }
    config.inputs = inputs.collectEntries { name, files -> [name, files instanceof List ? files.collect { 'a file' } : files] }

    def parameters = check(scripts('check'), schema, groovy.json.JsonOutput.toJson(config))

    def given = listed(inputs, 'events')
    def geometry = listed(inputs, 'detector')
    def events = channel.empty()
    def expected = given ? given.size() : wanted(schema, 'simulated_files')
    def made
    if (sizeOf(params)) {
        if (!given) {
            geometry = detector(scripts('detector'), parameters)
        }
        reconstruct_shard(runner(), scripts('reconstruct_shard'), parameters, geometry, channel.fromList(sharded(given, expected, sizeOf(params))))
        made = reconstruct_shard.out.flatMap { manifest -> results(manifest, workflow.launchDir) }
    }
    else if (given) {
        events = channel.fromList(numbered(given.size()).withIndex().collect { pair, i -> pair + [given[i]] })
    }
    else {
        geometry = detector(scripts('detector'), parameters)
        events = simulate(scripts('simulate'), parameters, geometry, channel.fromList(numbered(expected)))
    }

    if (!sizeOf(params)) {
        filter_events(scripts('filter_events'), parameters, events)
        calibrate(scripts('calibrate'), geometry, filter_events.out)
        reconstruct(scripts('reconstruct'), parameters, geometry, calibrate.out)
        made = reconstruct.out
    }

    // A file that can't be processed does not keep the others from it, but there is no table of a part of them.
    def tracks = made.toSortedList { a, b -> a.name <=> b.name }.filter { all -> all.size() == expected }
    summary(scripts('summary'), parameters, tracks)
    validate(scripts('validate'), summary.out.table, summary.out.document)
    plots(scripts('plots'), summary.out.table, summary.out.document)
    report(scripts('report'), schema, summary.out.document, validate.out, plots.out)
    verdict(scripts('verdict'), validate.out, report.out)
}


// The scripts that a process starts and imports, and no other: an edit of a plot must not repeat the fits.
def scripts(process) {
    def needed = [
        check: ['check', 'documents'],
        detector: ['simulate', 'detector', 'documents', 'eventfile', 'light', 'pulse'],
        simulate: ['simulate', 'detector', 'documents', 'eventfile', 'light', 'pulse'],
        filter_events: ['filter', 'documents', 'eventfile', 'rootfiles'],
        calibrate: ['calibrate', 'detector', 'documents', 'eventfile', 'pulse'],
        reconstruct: ['reconstruct', 'detector', 'documents', 'eventfile', 'fit', 'light', 'table'],
        reconstruct_shard: ['chain', 'simulate', 'filter', 'calibrate', 'reconstruct', 'detector', 'documents', 'eventfile', 'fit', 'light', 'pulse',
            'rootfiles', 'table'],
        summary: ['summary', 'documents', 'table'],
        validate: ['validate', 'documents', 'table'],
        plots: ['figures', 'documents'],
        report: ['report', 'documents', 'page'],
        verdict: ['verdict', 'documents'],
    ]
    return needed[process].collect { name -> file("${projectDir}/scripts/${name}.py", glob: false) }
}

// Files of an input.
def listed(inputs, name) {
    def paths = inputs instanceof Map ? inputs[name] ?: [] : []
    return (paths instanceof List ? paths : []).collect { path -> file(path, glob: false, checkIfExists: true) }
}

// The shards: their part of the files, the number of its first one, the files, and what the runner is told of them.
def sharded(given, count, size) {
    return numbered(count).collate(size).collect { part ->
        def begin = part[0][0]
        def lines = part.withIndex().collect { pair, i ->
            groovy.json.JsonOutput.toJson([unit: pair[1], number: pair[0]] + (given ? [events: String.format('events%06d', i + 1)] : [:]))
        }
        def files = given ? given[(begin - 1)..<(begin - 1 + part.size())] : []
        return tuple("${begin}-${part[-1][0]}".toString(), begin, files, ([workflow.launchDir] + lines).join('\n') + '\n')
    }
}

// Numbers from 1, and the same as a text that sorts like them.
def numbered(count) {
    return (1..count).collect { number -> [number, String.format('%05d', number)] }
}

// A whole number of the parameters, which a bare run may leave to its default. `check` says what is wrong with it.
def wanted(schema, name) {
    def value = params.containsKey(name) ? params[name] : new groovy.json.JsonSlurper().parse(schema.toFile()).properties[name].default
    return value instanceof Integer && value > 0 ? value : 1
}
