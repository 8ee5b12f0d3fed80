
include { far as near } from './far.nf'
process small {
    label 'light'
    cpus 2; memory 500.MB
    input: val memory
    script: "cpus 9"
}
process big {
    cpus params.threads
    memory "${params.gigabytes} GB"
    time '1h 30m'
    script: "true"
}
process grows { memory { 2.GB * task.attempt }
    script: "true"
}
process limited {
    resourceLimits cpus: 4, memory: '1 GB'
    cpus(16)
    memory '8 GB'
    script: "true"
}
workflow inner { take: x
    main: limited() }
workflow {
    x = channel.of(1) | small
    if (params.more) { big() }
    if (params.more)
        grows()
    x.map { far() }
    inner(x)
    near()
}
