process UPPER {
    publishDir 'upper', mode: 'symlink', pattern: 'b.*'
    input: path letter
    output: path "${letter.baseName}.up"
    script: "tr a-z A-Z < $letter > ${letter.baseName}.up"
}
