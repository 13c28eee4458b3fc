//! Scores beat detections against reference annotations by the EC57 rules.
