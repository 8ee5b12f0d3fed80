// The shapes of a real workflow (many units, a fan-in, a verdict), finished in seconds. For tests and benchmarks.
// In one go; map.nf makes the units of one slice only, and join.nf all the rest of units that were made before.
nextflow.enable.dsl = 2

include { fan_in; grouped; listing; rows; scripts; summary; table; told; unit; values; verdict; whole } from './steps.nf'


workflow {
    def size = params.group_size as int
    def given = values(params)
    listing(scripts(), table(params), given)
    def all = rows(listing.out)
    def count = all.count()
    unit(scripts().resolve('unit.sh'), told(all, params))

    def units = whole(unit.out, count)
    def parts = [channel.value([]), units]
    if (size > 0) {
        fan_in(scripts(), table(params), grouped(unit.out, all, count, size, given))
        parts = [whole(fan_in.out, count.map { n -> (n + size - 1).intdiv(size) }), channel.value([])]
    }
    summary(scripts(), table(params), parts[1], parts[0], given)
    verdict(scripts(), table(params), units, summary.out, given)
}
