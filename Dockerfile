# A container of the static program alone: run ./dist first, then docker build --tag vestibule .
FROM scratch
COPY dist-out/vestibule /vestibule
# With the folder, so that a new volume belongs to the user.
COPY --chown=1000:1000 packaging/data /data
USER 1000:1000
WORKDIR /data
VOLUME /data
ENV VESTIBULE_LISTEN=0.0.0.0:8000 VESTIBULE_DATABASE_URL=sqlite:/data/vestibule.db
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/vestibule", "healthcheck"]
ENTRYPOINT ["/vestibule"]
CMD ["serve"]
