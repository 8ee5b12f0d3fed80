include { MEASURE } from '../modules/local/measure/main'

workflow SHEET {
    take:
    rows

    main:
    MEASURE(rows.map { row -> [row.sample, file(row.fastq_1, checkIfExists: true), row.strandedness] })

    emit:
    MEASURE.out
}
