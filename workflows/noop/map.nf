// The units of one slice (`slice` of `slices`), as main.nf makes them.
nextflow.enable.dsl = 2

include { listing; rows; scripts; sharded; table; told; unit; unit_shard; values } from './steps.nf'

include { runner; sizeOf } from '../../rules/shards.nf'


workflow {
    def more = [slice: params.slice, slices: params.slices, fail_unit: params.fail_unit, exit_code: params.exit_code]
    listing(scripts(), table(params), values(params, more))
    def all = rows(listing.out)
    if (sizeOf(params)) {
        unit_shard(runner(), scripts().resolve('unit.sh'), listing.out, sharded(all.count(), params))
    }
    else {
        unit(scripts().resolve('unit.sh'), told(all, params))
    }
}
