// What main.nf makes of its units, of units that map.nf has made: their files are `inputs.unit_files`.
nextflow.enable.dsl = 2

include { fan_in; grouped; listing; rows; scripts; summary; table; values; verdict; whole } from './steps.nf'


workflow {
    def size = params.group_size as int
    def given = values(params)
    listing(scripts(), table(params), given)
    def all = rows(listing.out)
    def count = all.count()
    def made = channel.fromList(params.inputs.unit_files.collect { path -> file(path, glob: false) })

    def units = whole(made, count)
    def parts = [channel.value([]), units]
    if (size > 0) {
        fan_in(scripts(), table(params), grouped(made, all, count, size, given))
        parts = [whole(fan_in.out, count.map { n -> (n + size - 1).intdiv(size) }), channel.value([])]
    }
    summary(scripts(), table(params), parts[1], parts[0], given)
    verdict(scripts(), table(params), units, summary.out, given)
}
