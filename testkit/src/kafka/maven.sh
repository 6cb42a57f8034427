# Fetches Apache Kafka $1 with all that it needs into $2/kafka-$1, by Maven as it is set up here.
set -eu
echo "fetching Kafka $1 through Maven" >&2
# Under another name first, so that what has the right name is whole.
mkdir -p "$2"
new=$(mktemp -d "$2/.new-XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM
cat > "$new/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>mainstay</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$1</version>
    </dependency>
    <!-- Without it, Kafka 4 logs nothing. -->
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.5</version>
    </dependency>
  </dependencies>
</project>
POM
# With a repository of its own: nothing stays but what is asked for.
mvn --quiet --batch-mode --file "$new/pom.xml" "-Dmaven.repo.local=$new/repository" \
    org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$new/libs" >&2
# Another user may be the one to run it.
chmod -R a+rX "$new/libs"
# If somebody else was quicker with the same, theirs is used.
mv -T "$new/libs" "$2/kafka-$1" || [ -e "$2/kafka-$1" ]
