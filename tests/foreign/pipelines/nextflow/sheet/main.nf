#!/usr/bin/env nextflow
/*
~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
    example/sheet
~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
*/
include { SHEET } from './workflows/sheet'

workflow {
    rows = Channel.fromPath(params.input).splitCsv(header: true)
    SHEET(rows)
}
