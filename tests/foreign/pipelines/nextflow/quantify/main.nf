#!/usr/bin/env nextflow

/*
 * A small quantification: an index of a reference, and one count for each pair of reads.
 * The parameters' defaults are "those of the example" (it's in data/).
 */
params.reads     = "$projectDir/data/gut_{1,2}.fq"
params.reference = "${projectDir}/data/reference.fa"
params.outdir    = "results"
params.kmer      = 3
params.fraction  = 0.5
params.upper     = false
params.label     = 'quant'   // it's a name
params.adapter   = null
params.filter    = [ min: 1, max: 100 ]
params.doubled   = params.kmer * 2

log.info """\
  Q U A N T I F Y
  reads     : ${params.reads} ${ params.upper ? "(\"upper\")" : '' }
  reference : ${params.reference}
  """.stripIndent()

include { INDEX } from './modules/index'
include { QUANT as COUNT } from './modules/quant.nf'

workflow {
    def pairs = Channel.fromFilePairs(params.reads, checkIfExists: true)
    INDEX(file(params.reference))
    COUNT(INDEX.out, pairs)
}

workflow.onComplete {
    log.info(workflow.success ? "\nDone: ${params.outdir}\n" : 'Failed')
}
