// The shapes of a real workflow (many units, a fan-in, a verdict), finished in seconds. For tests and benchmarks.
// In one go; map.nf makes the units of one slice only, and join.nf all the rest of units that were made before.
nextflow.enable.dsl = 2

include { fan_in; grouped; listing; made; rows; scripts; sharded; summary; table; told; unit; unit_shard; values; verdict; whole } from './steps.nf'

include { runner; sizeOf } from '../../rules/shards.nf'


workflow {
    def size = params.group_size as int
    def given = values(params)
    listing(scripts(), table(params), values(params, [fail_unit: params.fail_unit, exit_code: params.exit_code]))
    def all = rows(listing.out)
    def count = all.count()
    def files
    if (sizeOf(params)) {
        unit_shard(runner(), scripts().resolve('unit.sh'), listing.out, sharded(count, params))
        files = made(unit_shard.out)
    }
    else {
        unit(scripts().resolve('unit.sh'), told(all, params))
        files = unit.out
    }

    def units = whole(files, count)
    def parts = [channel.value([]), units]
    if (size > 0) {
        fan_in(scripts(), table(params), grouped(files, all, count, size, given))
        parts = [whole(fan_in.out, count.map { n -> (n + size - 1).intdiv(size) }), channel.value([])]
    }
    summary(scripts(), table(params), parts[1], parts[0], given)
    verdict(scripts(), table(params), units, summary.out, given)
}
