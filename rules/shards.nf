// Units in shards: tasks of many units each, carried out by shard/ (docs/shards.md).
import groovy.json.JsonSlurper

nextflow.enable.dsl = 2


// Where the runner stands: an input of a process, by the name `shard`.
def runner() {
    file("${moduleDir}/shard", glob: false)
}

// `shard_size` of the parameters; 0 if each unit is a task of its own.
def sizeOf(params) {
    def size = params.containsKey('shard_size') ? params.shard_size : null
    if (size == null) {
        return 0
    }
    if (!(size instanceof Integer) || size < 1 || size > 1000000) {
        error "`shard_size` is ${size}; it must be a whole number between 1 and 1000000"
    }
    return size
}

// The parts of a number of units: 1-100, 101-200, …
def parts(count, size) {
    (0..<count).step(size).collect { first -> "${first + 1}-${Math.min(first + size, count)}".toString() }
}

// The results that a manifest names, of units whose files are below a folder.
def results(manifest, folder) {
    new JsonSlurper().parse(manifest.toFile()).units.collectMany { unit -> unit.results.collect { file("${folder}/${it.path}", glob: false) } }
}
