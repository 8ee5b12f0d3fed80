#!/usr/bin/env bash
# Nextflow from its parts in lib/: Java and its settings are found as the official launcher does, nothing is downloaded.
set -e
here=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
export NXF_HOME=${NXF_HOME:-$HOME/.nextflow} NXF_OFFLINE=${NXF_OFFLINE:-true} NXF_DISABLE_CHECK_LATEST=true
# secrets are a separate plug-in's
export NXF_ENABLE_SECRETS=${NXF_ENABLE_SECRETS:-false}
[ -z "${NXF_JAVA_HOME:-}" ] || { JAVA_HOME=$NXF_JAVA_HOME; JAVA_CMD=; }
java=${JAVA_CMD:-${JAVA_HOME:+$JAVA_HOME/bin/java}}
unset JAVA_TOOL_OPTIONS
opens=()
for package in lang io nio net util util.concurrent.locks util.concurrent.atomic nio.file.spi util.regex; do
    opens+=("--add-opens=java.base/java.$package=ALL-UNNAMED")
done
for package in sun.nio.ch sun.nio.fs sun.net.www.protocol.{http,https,ftp,file} jdk.internal.misc jdk.internal.vm; do
    opens+=("--add-opens=java.base/$package=ALL-UNNAMED")
done
read -ra options <<< "${NXF_OPTS:-} ${NXF_JVM_ARGS:-}"
# made when it was installed; one of another Java is left alone without a word
if [[ ${options[*]} != *ArchiveClassesAtExit* && -f $here/classes.jsa ]]; then
    options+=("-XX:SharedArchiveFile=$here/classes.jsa" "-Xlog:cds*=off" "-Xlog:class*=off")
fi
exec "${java:-java}" -Dfile.encoding=UTF-8 -Djava.awt.headless=true -XX:+TieredCompilation -XX:TieredStopAtLevel=1 \
    "${options[@]}" "${opens[@]}" -cp "$here/lib/*" nextflow.cli.Launcher "$@"
