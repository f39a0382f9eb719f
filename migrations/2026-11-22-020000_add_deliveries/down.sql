DROP TABLE delivery_queues;
DROP TABLE deliveries;
DROP TABLE webhook_terms;
DROP TABLE webhooks;
