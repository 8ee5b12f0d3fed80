// The units of one slice (`slice` of `slices`), as main.nf makes them.
nextflow.enable.dsl = 2

include { listing; rows; scripts; table; told; unit; values } from './steps.nf'


workflow {
    listing(scripts(), table(params), values(params, [slice: params.slice, slices: params.slices]))
    unit(scripts().resolve('unit.sh'), told(rows(listing.out), params))
}
