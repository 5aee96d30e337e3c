"""The log and the control log on Apache Kafka."""
