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

    // A unit that fails does not keep the others from running; what reads all of them then doesn't run, and neither does the run succeed.
    def count = listed.count()
    def units = whole(unit.out, count)
    def parts = [channel.value([]), units]
    if (size > 0) {
        def numbered = listed.combine(count).map { row, n ->
            def number = (row.number - 1).intdiv(size)
            tuple("${row.unit}.dat".toString(), groupKey(String.format('g%05d', number + 1), Math.min(size, n - number * size) as int))
        }
        def groups = unit.out.map { tuple(it.name, it) }.join(numbered).map { _name, file, group -> tuple(group, file) }.groupTuple()
        fan_in(scripts, table, groups.map { group, files -> tuple("${group}", files.sort { it.name }, "${group}\n${values}") })
        parts = [whole(fan_in.out, count.map { n -> (n + size - 1).intdiv(size) }), channel.value([])]
    }
    summary(scripts, table, parts[1], parts[0], values)
    verdict(scripts, table, units, summary.out, values)
}


// All files of a channel, sorted, if they are as many as expected; nothing otherwise.
def whole(files, expected) {
    files.toSortedList { it.name }.map { [it] }.combine(expected).filter { all, n -> all.size() == n }.map { all, _n -> all }.first()
}
