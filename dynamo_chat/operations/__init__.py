"""Running the table: IAM policies, costs and the doctor."""
