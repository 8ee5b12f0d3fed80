// The shapes of a real workflow (many units, a fan-in, a verdict), finished in seconds. For tests and benchmarks.
// Values reach the scripts on standard input: Nextflow would paste them into a shell's text. Tasks see the same names as in Snakemake.
import groovy.json.JsonOutput
import groovy.json.JsonSlurper

nextflow.enable.dsl = 2


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
    errorStrategy 'finish'
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


workflow {
    def scripts = file("${moduleDir}/scripts", glob: false)
    def given = params.inputs.units_table ?: []
    def table = given ? file(given[0], glob: false) : []
    def size = params.group_size as int
    // The table goes under the name that it is staged with.
    def values = JsonOutput.toJson([
        units: params.units, group_size: size, output_bytes: params.output_bytes, seconds: params.seconds,
        inputs: given ? [units_table: [table.name]] : [:],
    ])

    listing(scripts, table, values)
    def listed = listing.out.splitText().map { line -> new JsonSlurper().parseText(line) }
    def told = listed.map { row ->
        def fails = row.number == params.fail_unit ? params.exit_code : 0
        tuple(row.unit, [row.unit, params.output_bytes, row.seconds, fails, row.payload].join('\n'))
    }
    unit(scripts.resolve('unit.sh'), told)

    def units = unit.out.collect(sort: { it.name })
    def groups = channel.value([])
    if (size > 0) {
        // Groups are made of the table's order, whatever the order in which units end.
        def numbered = listed.map { row -> tuple("${row.unit}.dat".toString(), (row.number - 1).intdiv(size)) }
        def members = unit.out.map { tuple(it.name, it) }.join(numbered)
            .map { _name, file, number -> tuple(String.format('g%05d', number + 1), file) }
        fan_in(
            scripts, table,
            members.groupTuple(sort: { it.name }).map { group, files -> tuple(group, files, "${group}\n${values}".toString()) },
        )
        groups = fan_in.out.collect(sort: { it.name })
    }
    summary(scripts, table, size > 0 ? [] : units, groups, values)
    verdict(scripts, table, units, summary.out, values)
}
