// The steps, and what flows between them: for main.nf, which runs all of them, and for map.nf and join.nf, which run some.
// Values reach the scripts on standard input: Nextflow would paste them into a shell's text. Tasks see the same names as in Snakemake.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper

nextflow.enable.dsl = 2

include { parts; results; sizeOf } from '../../rules/shards.nf'


// Which units there are, by the script that Snakemake's workflow reads them with. Not a step of its own there.
process listing {
    input:
    path scripts, name: 'scripts'
    path table
    stdin

    output:
    path 'units.jsonl'

    script:
    '''
    python3 -SB scripts/listing.py --values "$(cat)" --output units.jsonl
    '''
}

process unit {
    tag "${key}"
    errorStrategy 'ignore'
    publishDir '.', mode: 'copy', overwrite: true

    input:
    path script, name: 'unit.sh'
    tuple val(key), stdin

    output:
    path "outputs/units/${key}.dat"

    script:
    '''
    mkdir -p outputs/units
    mapfile -t given
    . ./unit.sh "${given[0]}" "outputs/units/${given[0]}.dat" "${given[1]}" "${given[2]}" "${given[3]}" "payload=${given[4]:-}"
    '''
}

// Many units in a task: their files and the journal are where no task would clean up, and only the manifest is a task's output.
process unit_shard {
    tag "${part}"
    errorStrategy 'ignore'

    input:
    path runner, name: 'shard'
    path script, name: 'unit.sh'
    path units, name: 'units.jsonl'
    tuple val(part), stdin

    output:
    path "units-${part}.json"

    script:
    """
    mapfile -t given
    python3 -SB shard --step unit --units units.jsonl --part ${part} --slots ${task.cpus} \
        --journal "\${given[0]}/work/shards" --root "\${given[0]}" \
        --result 'outputs/units/{unit}.dat' --log 'logs/unit/{unit}.log' --manifest units-${part}.json \
        -- bash unit.sh '{unit}' '{result}' "\${given[1]}" '{seconds}' '{fails}' 'payload={payload}'
    """
}

process fan_in {
    tag "${group}"

    input:
    path scripts, name: 'scripts'
    path table
    tuple val(group), path(units, name: 'outputs/units/*'), stdin

    output:
    path 'work/fan_in/*.json'

    script:
    '''
    mkdir -p work/fan_in
    { IFS= read -r group; values=$(cat); }
    python3 -SB scripts/summary.py group "$group" --values "$values" --output "work/fan_in/$group.json"
    '''
}

process summary {
    publishDir '.', mode: 'copy', overwrite: true

    input:
    path scripts, name: 'scripts'
    path table
    path units, name: 'outputs/units/*'
    path groups, name: 'work/fan_in/*'
    stdin

    output:
    path 'outputs/summary.json'

    script:
    '''
    mkdir -p outputs
    python3 -SB scripts/summary.py summary --values "$(cat)" --output outputs/summary.json
    '''
}

process verdict {
    publishDir '.', mode: 'copy', overwrite: true

    input:
    path scripts, name: 'scripts'
    path table
    path units, name: 'outputs/units/*'
    path summary, name: 'outputs/summary.json'
    stdin

    output:
    path 'outputs/verdict.json'

    script:
    '''
    mkdir -p outputs
    python3 -SB scripts/summary.py verdict --values "$(cat)" --output outputs/verdict.json
    '''
}


def scripts() {
    file("${moduleDir}/scripts", glob: false)
}

// The units table, if one is given.
def table(params) {
    params.inputs.units_table ? file(params.inputs.units_table[0], glob: false) : []
}

// What the scripts are told. The table goes under the name that it is staged with.
def values(params, more = [:]) {
    JsonOutput.toJson([
        units: params.units, group_size: params.group_size as int, output_bytes: params.output_bytes, seconds: params.seconds,
        inputs: params.inputs.units_table ? [units_table: [table(params).name]] : [:],
    ] + more)
}

// The rows that `listing` has written.
def rows(listed) {
    listed.splitText().map { line -> new JsonSlurper().parseText(line) }
}

// What the script of a unit is told.
def told(rows, params) {
    rows.map { row ->
        def fails = row.number == params.fail_unit ? params.exit_code : 0
        tuple(row.unit, [row.unit, params.output_bytes, row.seconds, fails, row.payload].join('\n'))
    }
}

// The shards of a list of units, each with what its script is told.
def sharded(count, params) {
    count.flatMap { n -> parts(n, sizeOf(params)) }.map { part -> tuple(part, [workflow.launchDir, params.output_bytes].join('\n')) }
}

// The files that the units of shards have made.
def made(manifests) {
    manifests.flatMap { manifest -> results(manifest, workflow.launchDir) }
}

// All files of a channel, sorted, if they are as many as expected; nothing otherwise: a unit that fails does not keep the others
// from running, but what reads all of them then doesn't run.
def whole(files, expected) {
    files.toSortedList { it.name }.map { [it] }.combine(expected).filter { all, n -> all.size() == n }.map { all, _n -> all }.first()
}

// The files of each group that is whole, with what its script is told.
def grouped(files, rows, count, size, values) {
    def numbered = rows.combine(count).map { row, n ->
        def number = (row.number - 1).intdiv(size)
        tuple("${row.unit}.dat".toString(), groupKey(String.format('g%05d', number + 1), Math.min(size, n - number * size) as int))
    }
    def groups = files.map { tuple(it.name, it) }.join(numbered).map { _name, file, group -> tuple(group, file) }.groupTuple()
    groups.map { group, found -> tuple("${group}", found.sort { it.name }, "${group}\n${values}") }
}
